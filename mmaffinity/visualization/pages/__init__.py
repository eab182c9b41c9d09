"""HTML pages of results that open from disk in any browser, without a server or network."""
