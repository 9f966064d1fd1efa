"""How the demo models are made: components, latents, losses, and the training loop. Imports torch and diffusers."""
