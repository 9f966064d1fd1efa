"""What Prometheus is told: one catalogue, counted in web processes and read from the database."""
