"""What recent history says about links, workers and this chip: pure, every time passed in."""
