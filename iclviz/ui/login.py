"""Streamlit's own login, where the owner of this machine asks for it."""

import streamlit as st

from iclviz.owner import owner


def ask_for_login() -> None:
    """Show nothing but a button to whoever has not logged in."""
    if owner().logs_in and not st.user.is_logged_in:
        st.button("Log in", on_click=st.login, icon=":material/login:")
        st.stop()
