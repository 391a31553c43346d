"""What gateways and Prometheus counted, as samples of both arms."""
