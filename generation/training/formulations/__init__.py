"""The formulations of SD3 (arXiv 2403.03206, sections 2-3): forward process, target and timestep density, by name.

from generation.training.formulations.formulation import formulation

chosen = formulation("rf/lognorm(0,1)")
t = chosen.sample_times(len(latents), generator)
loss = chosen.losses(predict, latents, noise, t).mean()
"""
