"""How often the gate lets through a candidate that is equal, or worse by so many points, beside other rules."""
