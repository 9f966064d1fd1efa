"""Automatic metrics. What is missing is asked of the database, measured in small steps and kept as rows.

`rows` asks and keeps, `checker` measures the demo's pictures without torch, `clip` compares images with their prompts,
`distances` compares sets of images, `orders` leaves work to image workers.
"""
