package relay

import "github.com/sluiceproxy/sluice/internal/sock"

// parting is how a socket is ended.
type parting uint8

const (
	byFin   parting = iota // as close(2) ends it: by FIN, or by RST if bytes were not read
	byReset                // by RST
)

// Keep says that somebody else has duplicates of the sockets. Closing them would
// tell the peers nothing then, so the relay ends them by other calls, at once, and
// leaves both descriptors open: to close them is the caller's when the relay is
// Finished, after Close and after Reset. It holds until the next Start.
func (r *Relay) Keep() { r.kept = true }

// part ends one socket.
func (r *Relay) part(fd int, how parting) {
	switch {
	case !r.kept && how == byReset:
		sock.Reset(fd)
	case !r.kept:
		sock.Close(fd)
	case how == byReset || sock.Unread(fd) > 0:
		sock.Disconnect(fd)
	default:
		sock.CloseWrite(fd)
	}
}
