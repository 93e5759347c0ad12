"""Pure encoders: a snapshot in, finished bytes out; one module per format."""
