"""Models as packages named by their content: imported, made, checked, and published."""
