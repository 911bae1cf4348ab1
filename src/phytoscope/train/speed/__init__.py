"""What makes training fast: measurements, the choices they lead to, and a look at where the time goes."""
