package entralab

import (
	"slices"
	"strings"
)

// appRole is an application permission of Microsoft Graph or of Exchange.
type appRole struct {
	id          guid
	name        string
	displayName string
}

// The permissions that the lab checks or that a test of privilege needs, with
// their ids from Microsoft's permissions reference.
const (
	roleAssignmentsWrite = "AppRoleAssignment.ReadWrite.All"
	roleApplicationRead  = "Application.Read.All"
	roleApplicationWrite = "Application.ReadWrite.All"
	roleApplicationOwned = "Application.ReadWrite.OwnedBy"
	roleAuditRead        = "AuditLog.Read.All"
	roleGrantsWrite      = "DelegatedPermissionGrant.ReadWrite.All"
	roleAttributesWrite  = "CustomSecAttributeAssignment.ReadWrite.All"
	roleDirectoryRead    = "Directory.Read.All"
	rolePolicyRead       = "Policy.Read.All"
	rolePolicyWrite      = "Policy.ReadWrite.ApplicationConfiguration"
	roleOrganizationRead = "Organization.Read.All"
	roleUserRead         = "User.Read.All"
)

var appRoles = []appRole{
	{mustGUID("06b708a9-e830-4db3-a914-8e69da51d44f"), roleAssignmentsWrite, "Manage app permission grants and app role assignments"},
	{mustGUID("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"), roleApplicationRead, "Read all applications"},
	{mustGUID("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9"), roleApplicationWrite, "Read and write all applications"},
	{mustGUID("18a4783c-866b-4cc7-a460-3d5e5662c884"), roleApplicationOwned, "Manage apps that this app creates or owns"},
	{mustGUID("b0afded3-3588-46d8-8b3d-9842eff778da"), roleAuditRead, "Read all audit log data"},
	{mustGUID("de89b5e4-5b8f-48eb-8925-29c2b33bd8bd"), roleAttributesWrite, "Read and write custom security attribute assignments"}, // id recalled
	{mustGUID("8e8e4742-1d95-4f68-9d56-6ee75648c72a"), roleGrantsWrite, "Manage all delegated permission grants"},                   // id recalled
	{mustGUID("7ab1d382-f21e-4acd-a863-ba3e13f7da61"), roleDirectoryRead, "Read directory data"},
	{mustGUID("810c84a8-4a9e-49e6-bf7d-12d183f40d01"), "Mail.Read", "Read mail in all mailboxes"},
	{mustGUID("b633e1c5-b582-4048-a93e-9f11b44c7e96"), "Mail.Send", "Send mail as any user"},
	{mustGUID("498476ce-e0fe-48b0-b801-37ba7e2685c6"), roleOrganizationRead, "Read organization information"},
	{mustGUID("246dd0d5-5bd0-4def-940b-0421030a5b68"), rolePolicyRead, "Read your organization's policies"},
	{mustGUID("be74164b-cff1-491c-8741-e671cb536e13"), rolePolicyWrite, "Read and write your organization's application configuration policies"}, // id recalled
	{mustGUID("9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"), "RoleManagement.ReadWrite.Directory", "Read and write all directory RBAC settings"},
	{mustGUID("df021288-bdef-4463-88db-98f22de89214"), roleUserRead, "Read all users' full profiles"},
}

// exchangeRoles are the permissions of Office 365 Exchange Online that
// [Lab.CheckToken] is for.
var exchangeRoles = []appRole{
	{mustGUID("5e5addcd-3e8d-4e90-baf5-964efab2b20a"), "IMAP.AccessAsApp", "IMAP.AccessAsApp"},
	{mustGUID("cb842b43-da6e-4506-86fe-bb12199c656d"), "POP.AccessAsApp", "POP.AccessAsApp"},
	{mustGUID("e9a1c2d4-5b0f-4c53-9d3a-7f1c2b6a8e10"), "SMTP.SendAsApp", "SMTP.SendAsApp"}, // id made up: find it by value
}

// rolesOf are the permissions of one of Microsoft's APIs, by its app id.
func rolesOf(api guid) []appRole {
	switch api {
	case graphAppID:
		return appRoles
	case outlookAppID:
		return exchangeRoles
	}
	return nil
}

// api is the app id of the API that has the role.
func (r *appRole) api() guid {
	if slices.ContainsFunc(exchangeRoles, func(e appRole) bool { return e.id == r.id }) {
		return outlookAppID
	}
	return graphAppID
}

// roleNamed finds a permission by name, nil if the lab has none such.
func roleNamed(name string) *appRole {
	for _, roles := range [][]appRole{appRoles, exchangeRoles} {
		for i := range roles {
			if strings.EqualFold(roles[i].name, name) {
				return &roles[i]
			}
		}
	}
	return nil
}
