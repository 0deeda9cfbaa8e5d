package aadsts

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseBody(t *testing.T) {
	t.Parallel()
	const description = "AADSTS7000215: Bad secret for app '" + app + "'. Trace ID: " + trace + " Correlation ID: " + corr + " Timestamp: 2025-01-09 08:26:10Z"
	full := Body{
		Failure: Failure{Code: 7000215, Codes: []int{7000215}, OAuthError: "invalid_client", AppID: app, TraceID: trace, CorrelationID: corr,
			Timestamp: stamp, Message: "Bad secret for app '" + app + "'."},
		Description: description,
	}
	// with changes full.
	with := func(change func(*Body)) Body {
		b := full
		change(&b)
		return b
	}
	const base = `"error":"invalid_client","error_description":"` + description + `"`
	for _, test := range []struct {
		name, body string
		want       Body
	}{
		{"description only", `{"error_description":"` + description + `"}`, with(func(b *Body) { b.OAuthError = "" })},
		{"error and description", "{" + base + "}", full},
		{"whole", "{" + base + `,"error_codes":[7000215],"timestamp":"2025-01-09 08:26:10Z","trace_id":"` + trace + `","correlation_id":"` + corr + `","error_uri":"https://login.microsoftonline.com/error?code=7000215"}`,
			with(func(b *Body) { b.ErrorURI = "https://login.microsoftonline.com/error?code=7000215" })},
		{"any order", `{"correlation_id":"` + corr + `","error_codes":[7000215],` + base + `}`, full},
		{"legacy pair", "{" + base + `,"error_codes":[70002,50012]}`, with(func(b *Body) { b.Code, b.Codes = 50012, []int{70002, 50012} })},
		{"codes as strings", "{" + base + `,"error_codes":["50012"]}`, with(func(b *Body) { b.Code, b.Codes = 50012, []int{50012} })},
		{"code without brackets", "{" + base + `,"error_codes":50012}`, with(func(b *Body) { b.Code, b.Codes = 50012, []int{50012} })},
		{"odd codes", "{" + base + `,"error_codes":[1,-7000215,1e9,"x",null,[],{},50012,50012,123456789]}`, with(func(b *Body) { b.Code, b.Codes = 50012, []int{50012} })},
		{"members win", "{" + base + `,"trace_id":"` + other + `","timestamp":"2026-01-09 08:26:10Z"}`,
			with(func(b *Body) { b.TraceID, b.Timestamp = other, stamp.AddDate(1, 0, 0) })},
		{"redacted members", "{" + base + `,"trace_id":"REDACTED","correlation_id":"","timestamp":"now"}`, full},
		{"two ids in one", "{" + base + `,"trace_id":"` + other + `,` + other + `"}`, full},
		{"null everywhere", "{" + base + `,"error_codes":null,"timestamp":null,"trace_id":null,"correlation_id":null,"error_uri":null,"suberror":null,"claims":null}`, full},
		{"wrong types", "{" + base + `,"error_codes":{},"timestamp":5,"trace_id":[],"correlation_id":{},"error_uri":true,"suberror":1,"claims":7}`, full},
		{"unknown members", `{"x":{"y":[1]},` + base + `}`, full},
		{"twice", `{"error":"invalid_grant",` + base + `}`, full},
		{"suberror and claims", "{" + base + `,"suberror":"basic_action","claims":"{\"access_token\":{}}"}`,
			with(func(b *Body) { b.SubError, b.Claims = "basic_action", `{"access_token":{}}` })},
		{"claims as object", "{" + base + `,"claims":{ "access_token" : {} }}`, with(func(b *Body) { b.Claims = `{"access_token":{}}` })},
		{"error only", `{"error":"invalid_client"}`, Body{Failure: Failure{OAuthError: "invalid_client"}}},
		{"code only", `{"error_codes":[7000215]}`, Body{Failure: Failure{Code: 7000215, Codes: []int{7000215}}}},
		{"another server's", `{"error":"invalid_client","error_description":"Client authentication failed."}`,
			Body{Failure: Failure{OAuthError: "invalid_client"}, Description: "Client authentication failed."}},
		{"invalid UTF-8", "{\"error\":\"invalid_\xff\"}", Body{Failure: Failure{OAuthError: "invalid_\uFFFD"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, before := range []string{"", "\uFEFF", " \r\n", "\uFEFF\n"} {
				for _, after := range []string{"", "\n", "}garbage", "<html>"} {
					want := test.want
					want.Start, want.End = len(before), len(before)+len(test.body)
					got, err := ParseBody([]byte(before + test.body + after))
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Errorf("ParseBody(%s) = %+v, %v\nwant %+v", before+test.body+after, got, err, want)
					}
				}
			}
		})
	}
}

func TestParseBodyErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body string
		want error
		text string
	}{
		{"", ErrNotJSON, "aadsts: not JSON: empty"},
		{"\uFEFF", ErrNotJSON, "aadsts: not JSON: empty"},
		{"<!DOCTYPE html><html><head><title>Proxy says no</title>", ErrNotJSON, `aadsts: not JSON: starts with "<!DOCTYPE html><html><head><title>Proxy "`},
		{`{"error":"invalid_client","error_desc`, ErrNotJSON, `aadsts: not JSON: starts with "{\"error\":\"invalid_client\",\"error_desc"`},
		{strings.Repeat("\u00e9", 30), ErrNotJSON, `aadsts: not JSON: starts with "` + strings.Repeat("\u00e9", 20) + `"`},
		{strings.Repeat("[", 1e6), ErrNotJSON, ""},
		{strings.Repeat(`{"error":`, 1e5), ErrNotJSON, ""},
		{"null", ErrNoError, `aadsts: no error in the JSON: no object but starts with "null"`},
		{"[1]", ErrNoError, ""},
		{`"AADSTS7000215: text"`, ErrNoError, ""},
		{"7000215", ErrNoError, ""},
		{"{}", ErrNoError, "aadsts: no error in the JSON: its members are none"},
		{`{"error":null,"error_codes":[],"error_description":""}`, ErrNoError, ""},
		{`{"error":{"code":"InvalidAuthenticationToken","message":"x"}}`, ErrNoError, `aadsts: no error in the JSON: its members are "error"`},
		{`{"access_token":"eyJ0eXAi","token_type":"Bearer","expires_in":3599,"ext_expires_in":3599}`, ErrNoError,
			`aadsts: no error in the JSON: its members are "access_token expires_in ext_expires_in t"`},
	} {
		got, err := ParseBody([]byte(test.body))
		if !errors.Is(err, test.want) || test.text != "" && err.Error() != test.text || !reflect.DeepEqual(got, Body{}) {
			t.Errorf("ParseBody(%.60q) = %+v, %v, want %v %s", test.body, got, err, test.want, test.text)
		}
	}
}
