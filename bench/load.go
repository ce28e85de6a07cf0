package bench

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what the connections of a load are there for.
type Kind string

// The kinds of load.
const (
	Requests    Kind = "requests"    // messages to and fro over connections that stay
	Connections Kind = "connections" // connect, one request, close, again
	Streams     Kind = "streams"     // as many bytes as go through
	Idle        Kind = "idle"        // connections that only exist
)

// Direction is where the bytes of a stream go.
type Direction string

// The directions of streams.
const (
	Up   Direction = "up"   // from client to backend
	Down Direction = "down" // from backend to client
	Both Direction = "both"
)

// Ending is how the client closes a connection.
type Ending string

// The endings of connections.
const (
	FIN Ending = "fin"
	RST Ending = "rst"
)

// Protocol is what the backend speaks.
type Protocol string

// The protocols of backends.
const (
	Own   Protocol = "own"   // bench/backend's: echo, sink and source
	HTTP  Protocol = "http"  // GET over HTTP/1.1 with keep-alive, for example nginx
	Redis Protocol = "redis" // PING
)

// Load is a load on one address.
type Load struct {
	Kind        Kind          `json:"kind"`
	Protocol    Protocol      `json:"protocol"`
	Connections int           `json:"connections"`         // at a time
	Size        int           `json:"size,omitempty"`      // bytes of a request and of its response; of one write of a stream
	Rate        float64       `json:"rate,omitempty"`      // requests or connections a second, whether or not answers come in time; 0 = the next follows the answer
	Direction   Direction     `json:"direction,omitempty"` // of streams
	Ending      Ending        `json:"ending,omitempty"`    // of Connections
	Beside      Beside        `json:"beside"`              // what goes on meanwhile, not measured
	Warmup      time.Duration `json:"warmup"`              // load before the measured part, nanoseconds
	Duration    time.Duration `json:"duration"`            // of the measured part, nanoseconds
	Most        uint64        `json:"most,omitempty"`      // requests or connections after which the load ends early; 0 = no bound
	Loops       int           `json:"loops,omitempty"`     // threads that make the load; 0 = 1
}

// Beside is load that goes on beside the measured one.
type Beside struct {
	Idle        int `json:"idle,omitempty"`         // connections that only exist
	Streams     int `json:"streams,omitempty"`      // connections that carry 1 MiB/s down
	SlowReaders int `json:"slow_readers,omitempty"` // connections whose client reads 4 KiB every 100 ms of an endless stream
}

// Bounds of a load: a typing error should not take a machine down.
const (
	MaxConnections = 200_000
	MaxSize        = 16 << 20
	MaxRate        = 10_000_000
	MaxDuration    = time.Hour
)

// Validate says everything that is wrong with the load.
func (l Load) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch l.Kind {
	case Requests, Connections, Streams, Idle:
	default:
		wrong("kind %q: want requests, connections, streams or idle", l.Kind)
	}
	switch l.Protocol {
	case Own:
	case HTTP, Redis:
		if l.Kind == Streams || l.Beside.Streams+l.Beside.SlowReaders > 0 {
			wrong("protocol %q has no streams: want own", l.Protocol)
		}
	default:
		wrong("protocol %q: want own, http or redis", l.Protocol)
	}
	inRange := func(name string, value, least, most float64) {
		if !(value >= least && value <= most) {
			wrong("%s %v: want %v to %v", name, value, least, most)
		}
	}
	inRange("connections", float64(l.Connections), 1, MaxConnections)
	inRange("size", float64(l.Size), 1, MaxSize)
	inRange("rate", l.Rate, 0, MaxRate)
	inRange("warmup seconds", l.Warmup.Seconds(), 0, MaxDuration.Seconds())
	inRange("duration seconds", l.Duration.Seconds(), 0.001, MaxDuration.Seconds())
	inRange("loops", float64(l.Loops), 0, 64)
	inRange("idle connections beside", float64(l.Beside.Idle), 0, MaxConnections)
	inRange("streams beside", float64(l.Beside.Streams), 0, 1000)
	inRange("slow readers beside", float64(l.Beside.SlowReaders), 0, 10_000)
	switch l.Direction {
	case Up, Down, Both:
	case "":
		if l.Kind == Streams {
			wrong("direction is missing: want up, down or both")
		}
	default:
		wrong("direction %q: want up, down or both", l.Direction)
	}
	switch l.Ending {
	case FIN, RST:
	case "":
		if l.Kind == Connections {
			wrong("ending is missing: want fin or rst")
		}
	default:
		wrong("ending %q: want fin or rst", l.Ending)
	}
	return errors.Join(errs...)
}
