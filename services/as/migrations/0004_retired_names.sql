-- Names of users that were deleted, each as an HMAC under the service's secret key: nobody else is
-- given them, and nobody can read here who was a user.
CREATE TABLE retired_names (
  name_tag bytea PRIMARY KEY CHECK (octet_length(name_tag) = 32)
);
