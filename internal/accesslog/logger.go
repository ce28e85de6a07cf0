package accesslog

import (
	"sync"

	"github.com/sluiceproxy/sluice/config"
)

// Logger writes the lines of one filter chain. It is immutable and may be
// used from any thread.
type Logger struct {
	destinations []destination
	events       eventSet
	scratch      *sync.Pool // of *[]byte
}

type destination struct {
	file   *file
	format *Format
	events eventSet
}

// eventSet is a set of config.LogEvent.
type eventSet uint8

func eventBit(ev config.LogEvent) eventSet {
	switch ev {
	case config.LogStart:
		return 1
	case config.LogConnected:
		return 2
	case config.LogEnd:
		return 4
	}
	return 0
}

// Wants says whether any destination logs this moment, so that callers need
// not fill in a record for nothing. A nil Logger wants nothing.
func (l *Logger) Wants(ev config.LogEvent) bool {
	return l != nil && l.events&eventBit(ev) != 0
}

// Active says whether the logger wants any moment.
func (l *Logger) Active() bool { return l != nil && l.events != 0 }

// Log writes the record's line to the destinations that want this moment. It
// only copies to memory: a line that finds its file's buffer full is dropped
// and counted (Files.Dropped).
func (l *Logger) Log(ev config.LogEvent, r *Record) {
	if !l.Wants(ev) {
		return
	}
	// Formatted outside the file's lock, which all loops share.
	scratch := l.scratch.Get().(*[]byte)
	for i := range l.destinations {
		if d := &l.destinations[i]; d.events&eventBit(ev) != 0 {
			*scratch = d.format.Append((*scratch)[:0], ev, r)
			d.file.append(*scratch)
		}
	}
	l.scratch.Put(scratch)
}
