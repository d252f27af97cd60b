"""Pages, served by Citygate itself."""
