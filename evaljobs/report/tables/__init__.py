"""Tables as data: columns, formats, and what tables there are."""
