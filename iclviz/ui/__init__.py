"""What pages share in Streamlit: the choice of A and B, cached loaders, the queue, figures and their buttons."""
