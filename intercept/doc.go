// Package intercept knows how connections are captured: it tells where a
// captured connection wanted to go, and notices when the daemon has captured
// its own connections. It is the only package that knows; the capture rules
// themselves are in intercept/rules.
//
//	destination, err := intercept.Redirect.OriginalDestination(fd, peer)
//	if guard.Trail(peer, destination).Has(listener) { ... } // our own connection, for the second time
package intercept
