//! PyTorch models.
