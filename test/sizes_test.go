package test

import (
	"os"
	"testing"
	"time"
)

// soakVar is how long the soak test runs, as Go writes durations. With it, other
// tests have their full sizes too: `make soak` sets it.
const soakVar = "SLUICE_SOAK"

// sizes are of the tests that do the same thing many times.
type sizes struct {
	soak        time.Duration
	reloads     int // under load
	kills       int // under load
	connections int // opened and closed at a time
	rounds      int // of that
	upgrades    int // under load
	live        int // connections through each of them
	arrivals    int // new connections a second meanwhile
	flaps       int // of all endpoints
	stored      int // connections in a store when sluice is killed
	crashes     int // of that kind
	long        bool
}

// testSizes are small unless `make soak` runs, and full if it has ten minutes.
func testSizes(t *testing.T) sizes {
	t.Helper()
	text := os.Getenv(soakVar)
	if text == "" {
		return sizes{soak: 5 * time.Second, reloads: 100, kills: 5, connections: 1000, rounds: 10, flaps: 10, upgrades: 3, live: 200, arrivals: 100, stored: 100, crashes: 2}
	}
	soak, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVar, err)
	}
	all := sizes{soak: soak, reloads: 1000, kills: 100, connections: idleConnections, rounds: 5, flaps: 200, upgrades: 20, live: 5000, arrivals: 2000, stored: 1000, crashes: 20}
	if soak >= 10*time.Minute {
		all.rounds, all.long = 100, true
	}
	return all
}

// full says whether figures may be judged: tests run one after the other, and the
// race detector is off.
func full() bool { return os.Getenv(soakVar) != "" && !raceEnabled }
