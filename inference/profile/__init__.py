"""What the parts of a model cost on one piece of hardware: measured, completed, and kept."""
