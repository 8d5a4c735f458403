"""Problems for the trainer about networks with structure: their samples, losses and what a trained model leaves."""
