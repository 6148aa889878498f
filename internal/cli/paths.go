package cli

// paths are the places where things are unless configured.
type paths struct {
	config  string // configuration file
	dir     string // the record
	control string // socket or pipe of the recorder
}

// defaultPaths gives the places for this user: the machine's for who
// administrates it and for the service, else the user's own. getenv is
// os.Getenv.
func defaultPaths(getenv func(string) string) paths { return osPaths(getenv, isAdmin()) }
