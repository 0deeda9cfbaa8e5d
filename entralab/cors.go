package entralab

import "net/http"

// Web pages may read the answers of the token service, refusals included:
// single-page apps act on 700084 (Microsoft documentation), and 9002326 is
// quoted from their logs. The headers of the preflight, and the star on
// discovery and keys, are recalled, unverified.

// allowPage lets the page that asked read the answer.
func allowPage(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Add("Vary", "Origin")
	}
}

// isPreflight reports whether a browser asks before it sends.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

func servePreflight(w http.ResponseWriter, r *http.Request) {
	allowPage(w, r)
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	w.WriteHeader(http.StatusOK)
}
