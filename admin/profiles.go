package admin

import (
	"net/http"
	"net/http/pprof"
)

// profilesPath is where net/http/pprof and `go tool pprof` expect profiles.
const profilesPath = "/debug/pprof/"

// profiles serves net/http/pprof. Importing that registers the same handlers on
// http.DefaultServeMux too, which no server here serves.
//
// A profile takes as long as its client asks for; pprof moves the server's
// deadline for writing itself.
func profiles(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case profilesPath + "cmdline":
		pprof.Cmdline(w, r)
	case profilesPath + "profile":
		pprof.Profile(w, r)
	case profilesPath + "symbol":
		pprof.Symbol(w, r)
	case profilesPath + "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
