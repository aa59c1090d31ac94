"""How processes of this version are made: forked, as nothing here stands against it."""
