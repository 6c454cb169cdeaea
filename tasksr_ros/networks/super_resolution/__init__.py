"""Super-resolution networks: DBPN (still), RBPN (video), KBPN (unknown blur), bicubic."""
