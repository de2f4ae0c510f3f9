//! Sockets, routes and state of the appliance.
