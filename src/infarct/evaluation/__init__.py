"""How good the systems are: measures of many cases, tables, figures. Predictions and `fit` come as arguments."""
