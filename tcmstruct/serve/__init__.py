"""`tcmstruct serve`: a REST interface to the structurer, and the page on which people review a converted folder."""
