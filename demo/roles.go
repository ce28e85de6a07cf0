package main

import (
	"fmt"
	"os"
	"strconv"
)

// roleVar makes this program one of those that run on the demo's hosts, as
// some other uid, instead of the demo itself.
const roleVar = "SLUICE_DEMO_ROLE"

// The roles.
const (
	roleApp  = "app"  // serve HTTP and the server-first protocol; argument: the host's name
	roleTalk = "talk" // speak the server-first protocol; arguments: an address and a port of its own
)

// play plays a role to its end and returns the exit status.
func play(role string, args []string) int {
	var err error
	switch {
	case role == roleApp && len(args) == 1:
		err = serve(args[0], httpAddress, mysqlAddress)
	case role == roleTalk && len(args) == 2:
		var port int
		if port, err = strconv.Atoi(args[1]); err == nil {
			err = talk(args[0], port, os.Stdout)
		}
	default:
		err = fmt.Errorf("no role %q with arguments %q", role, args)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}
