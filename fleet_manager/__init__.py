"""The office: devices, groups, models and deployments."""
