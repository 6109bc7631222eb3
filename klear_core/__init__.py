"""The science of the harness: objectives, advantages, data, rollouts, training, evaluation and the run store."""
