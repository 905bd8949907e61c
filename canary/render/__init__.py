"""What people see: status, live view, explanation, tables and the HTML report. Pure."""
