"""The worker: a result or a refusal, always one of them."""
