"""One module for each thing to say: listing, next, showing, history, acting, checking."""
