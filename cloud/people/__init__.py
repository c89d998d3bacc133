"""Who a person is: identifiers, duplicates, merges and their undoing."""
