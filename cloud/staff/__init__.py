"""Who works where as what with which licence, who is on duty when, and who has an account."""
