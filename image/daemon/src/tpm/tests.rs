//! The TPM's side played from structures that are built here by hand.
