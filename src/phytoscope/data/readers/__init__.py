"""From what people have to source rows: folders, spreadsheets, known layouts."""
