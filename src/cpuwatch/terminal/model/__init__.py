"""What the terminal shows: a snapshot and the state of the view become lines of styled text. Pure."""
