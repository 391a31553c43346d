"""What users write and read: resource models, conditions, reasons, wire documents."""
