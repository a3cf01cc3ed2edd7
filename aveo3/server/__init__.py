"""What a server shows and takes: the door for requests, and the live page."""
