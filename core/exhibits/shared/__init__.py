"""What exhibits share: the records, rules of agreement, pieces of rows, printed numbers, presentation."""
