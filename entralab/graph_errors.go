package entralab

import (
	"net/http"
	"time"
)

// graphError is an answer of Graph that is not a success.
type graphError struct {
	status        int
	code, message string
}

// body is Graph's error object. The date has no zone (Microsoft
// documentation).
func (e *graphError) body(now time.Time, requestID, clientRequestID string) object {
	return object{{"error", object{
		{"code", e.code},
		{"message", e.message},
		{"innerError", object{
			{"date", now.Format("2006-01-02T15:04:05")},
			{"request-id", requestID},
			{"client-request-id", clientRequestID},
		}},
	}}}
}

var (
	errDenied = &graphError{http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."}
	// Codes differ between reports; this text is the one they agree on.
	errTooManyValues = badRequest("Directory_ResourceSizeExceeded", "The size of the object has exceeded its limit. Please reduce the number of values and retry your request.")
	errPageToken     = badRequest("Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.") // recalled
)

func badRequest(code, message string) *graphError {
	return &graphError{http.StatusBadRequest, code, message}
}

func unauthorized(message string) *graphError {
	return &graphError{http.StatusUnauthorized, "InvalidAuthenticationToken", message}
}

func notFound(id string) *graphError {
	return &graphError{http.StatusNotFound, "Request_ResourceNotFound", "Resource '" + id + "' does not exist or one of its queried reference-property objects are not present."}
}

func unsupportedQuery(message string) *graphError {
	return badRequest("Request_UnsupportedQuery", message)
}

// keyTaken is recorded for a second service principal of one app.
func keyTaken(property string) *graphError {
	return &graphError{http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "Another object with the same value for property " + property + " already exists."}
}
