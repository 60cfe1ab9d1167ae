"""One module for each thing to say: listing, showing, acting (replay, discard, cancel), tailing, counting, actions."""
