"""CT images made from an anatomical label atlas: training data, test input, the demonstration series."""
