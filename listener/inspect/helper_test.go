package inspect

import (
	"encoding/hex"
	"flag"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// limit is what tests let a parser look at unless they are about the limit.
const limit = 64 << 10

// feed gives a stream to a parser in every length and returns the answer to
// all of it. It checks what each parser promises: no answer before the bytes
// that it asked for are there, no other one afterwards, and no look at bytes
// that it was not given.
func feed(t testing.TB, stream []byte, limit int, parse func(prefix []byte) Verdict) Verdict {
	t.Helper()
	last, asked := Verdict{}, 0
	for n := 0; n <= len(stream); n++ {
		v := parse(stream[:n:n])
		switch {
		case n > 0 && last.State != More && v != last:
			t.Fatalf("%d bytes: %+v; with one more: %+v", n-1, last, v)
		case v.State == More && (v.Bytes <= n || v.Bytes > limit):
			t.Fatalf("%d bytes: asks for %d, with a limit of %d", n, v.Bytes, limit)
		case v.State != More && n < asked:
			t.Fatalf("asked for %d bytes and answered after %d: %+v", asked, n, v)
		case v.State == Done && v.Bytes > n:
			t.Fatalf("%d bytes: took %d", n, v.Bytes)
		case (v.State == Malformed) != (v.Reason != ""):
			t.Fatalf("%d bytes: %+v", n, v)
		}
		last = v
		if v.State == More {
			asked = v.Bytes
		}
	}
	return last
}

// unhex reads hexadecimal digits with any white space between them.
func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
