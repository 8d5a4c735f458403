"""Numbers from structured sequences: least squares, perceptron, LSTM and encoder transformer, and what they embed."""
