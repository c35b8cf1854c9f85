"""Whether two photos show the same place: key points matched, geometry fitted, evidence weighed."""
