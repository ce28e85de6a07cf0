package inspect

// State is what the bytes so far tell about a protocol.
type State uint8

const (
	// More means that the bytes are the beginning of the protocol, or may be,
	// and too few.
	More State = iota
	// Done means that all that the parser looks for was there and is valid.
	Done
	// Foreign means that the stream is of another protocol.
	Foreign
	// Malformed means that the stream began as the protocol says and then broke
	// its rules, or exceeds the limit. It must not be taken for another
	// protocol where a policy rests on that.
	Malformed
)

// String is the state in one word, for logs.
func (s State) String() string {
	switch s {
	case More:
		return "need_more"
	case Done:
		return "done"
	case Foreign:
		return "foreign"
	default:
		return "malformed"
	}
}

// Verdict is the answer of a parser.
type Verdict struct {
	State State

	// Bytes counts from the stream's beginning. With More, the answer cannot
	// change before that many are there; it is larger than the prefix and at
	// most the limit, and may serve as SO_RCVLOWAT. With Done, it is how many
	// the answer took; for a PROXY header, what to consume before anything else
	// sees the stream.
	Bytes int

	// Reason is what is wrong, with Malformed; otherwise "".
	Reason Reason
}

// Reason says in words what is malformed, as a part of a sentence for logs.
// It never contains bytes of the peer's.
type Reason string

// TooLarge is the reason of all parsers for what cannot be decided within the
// limit that the caller gave.
const TooLarge Reason = "larger than the limit"

func malformed(r Reason) Verdict { return Verdict{State: Malformed, Reason: r} }

// more asks for bytes, or says that the limit does not leave room for them.
func more(bytes, limit int) Verdict {
	if bytes > limit {
		return malformed(TooLarge)
	}
	return Verdict{State: More, Bytes: bytes}
}

// within is the part of the prefix that may be looked at. Without it an answer
// could depend on how much was peeked beyond the limit.
func within(prefix []byte, limit int) []byte {
	return prefix[:min(len(prefix), max(limit, 0))]
}
